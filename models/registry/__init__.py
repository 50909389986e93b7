"""The model registry: versions known to MLflow (`versions`, through `connection`), and which is the champion.

`champions` holds verified bundles under the home, from which the service reads (`bundles` knows each kind), `offsets`
what shifts them until the next training; `recovery` mends what killed runs left. `revision` says of which code.
"""
