"""The two CRMs through their own APIs: a week in, and what people did there back."""
