"""What the tracking server keeps of training runs."""
