"""HTTP and HTTPS: a small lenient engine for phones of every age."""
