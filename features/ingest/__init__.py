"""From a company's files and relations to tables in contract form, checked, with their versions kept."""
