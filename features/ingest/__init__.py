"""Ingestion: from a company's files and relations to checked tables in contract form, every version of a row kept.

`stage` is the door: it prepares what a run reads (`inputs`), maps relations to tables (`mapping`), reads `files` or
`databases`, and brings each table into contract form (`stage_table`; `stage_files` for tables in many files). Rows of a
request go through the same checks (`request_rows`). Who was erased stays out (`erased`).
"""
