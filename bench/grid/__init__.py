"""Which cells there are: options, cells, and what they will cost."""
