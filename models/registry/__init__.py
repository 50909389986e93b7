"""Which versions of a model MLflow knows (`versions`, through `connection`), and which one is the champion.

`champions` holds verified bundles under the home, from which the service reads; `recovery` mends what killed runs left.
"""
