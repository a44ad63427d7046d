"""Report writers. They read only the report model (`reports.model`): plain data in, one file out."""
