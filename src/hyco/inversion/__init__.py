"""The inverse problem: which parameter values explain the measurements best (least squares), and how sure they are."""
