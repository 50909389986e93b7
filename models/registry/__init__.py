"""Which version of a model is registered, and which is the champion."""
