"""Reading texts and labels from files, packages, repositories and the hub."""
