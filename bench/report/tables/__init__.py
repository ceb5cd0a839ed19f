"""The tables of a report and the statistics below them."""
