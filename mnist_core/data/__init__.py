"""Images and labels: where they come from, how their files are read, how they are divided."""
