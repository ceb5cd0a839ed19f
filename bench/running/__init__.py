"""Running the cells of a grid: resume, claims, statuses, scoring."""
