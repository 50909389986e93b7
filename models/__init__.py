"""What is predicted, from what, and which version is champion."""
