"""A page in the browser for one run: classify, segment and search, at any alpha.

blend.py    the run's model at any alpha, for the requests of several threads
uploads.py  images that a browser sent, decoded within bounds
page.py     the page: its tabs and the answers to its requests
guard.py    which requests are answered at all
server.py   the server around the page
"""
