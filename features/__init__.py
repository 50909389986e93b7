"""Features and metrics: the contract, point-in-time views, feature vectors, rule-based metrics.

All that is known of a customer at an instant stands here. From the ground up; a room knows what stands above it in this
list, and nothing below (`tests/promises/test_layers.py`):

- `errors`, `shown`: every error, and texts that are safe to show; `naming`: what names of columns and files mean
- `contract`: what a company hands over; `statistics`: arrays in and out; `sentiment`: how a text sounds
- `instants`, `durable`, `documents`, `private`: times and files, each in one way; `company_files`, `settings`: what a
  company changes; `model_settings`, `feature_settings`, `table_settings`, `readers`: the sections of its project file
- `asof`: what is known before an instant, the one reader of the past; `project`, `engines`, `expressions`;
  `simulation`: companies with known truth
- `facts`: business concepts, each once
- `vectors`: how features are declared and computed; `families`: the features; `health`: rules over a vector
- `ingest`: from a company's files to tables in contract form; `charts`: how figures are drawn, for page, report,
  notebooks and tracking server
- `discovery`: what files of any shape hold, and the mapping that is proposed of them; `metrics`: rule-based metrics,
  with definitions, comparisons, lists, and what each table feeds
"""
