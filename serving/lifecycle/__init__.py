"""The data lifecycle under the home: what stays how long, who is found, who is erased, and copies of it.

`inventory` has each entry of the home once. `retention` removes what is `outdated`. `about` and `erasure` search it for
a `subject` (`search`, by any `spelling`) and scrub it (`scrubbing`), place by place: `weeks`, `tables`, `texts`,
`served`, `outputs`; `marks` keep out who was erased, `receipts` say that it was done. `backup` and `restore` copy it.
"""
