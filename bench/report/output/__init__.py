"""Writing a report: Markdown, LaTeX, CSV, HTML, terminal."""
