"""What people look at: the live view, tables, reports, plots and the picture of the lineage; reads, never decides."""
