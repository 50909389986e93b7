"""Lakes: Delta and Iceberg tables, and S3-compatible storage, brought into files that a run reads like a folder.

tables   Delta and Iceberg tables as Parquet
objects  what lies under an address such as s3://bucket/folder, as files
"""
