"""Images and labels: their sources, file formats, download, feedback and split."""
