"""Ingestion: from a company's files and relations to checked tables in contract form, every version of a row kept.

`stage` is the door: it prepares what a run reads (`inputs`), maps relations to tables (`mapping`), reads `files`,
`databases` or `lakes` (what the engine cannot read is `rewritten` first), and brings each table into contract form
(`stage_table`; `stage_files` for tables in many files; where, says `staging_context`). What is wrong is counted
(`figures`, `counts`, `duplicate_keys`, `whole_table`) and `refused`. A company's `own` columns and tables feed features
of their own; `texts` are judged by what was learned. Rows of a request go through the same checks (`request_rows`). Who
was `erased` stays out.
"""
