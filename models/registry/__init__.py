"""Which versions of a model are registered (`versions`, the only import of MLflow), and which one is the champion.

`champions` holds verified bundles under the home, from which the service reads; `recovery` mends what killed runs left.
"""
