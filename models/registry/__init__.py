"""The model registry: versions known to MLflow (`versions`, through `connection`), and which is the champion.

`champions` holds verified bundles under the home, from which the service reads; `recovery` mends what killed runs left.
"""
