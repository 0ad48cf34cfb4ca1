"""What a sweep found, in pictures and on one page, on its parent run."""
