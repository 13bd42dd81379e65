"""The built-in agents' language: recipes of building blocks, and the files that are written from them.

Here is what can be said (recipe), how it is said in code (parts, writer) and what it weighs (size); who says
what and why is the researcher's, engineer's and analyst's business.
"""
