"""What an HTTP request asks for and how it is answered: URLs, the view's call, responses, CORS, admission.

May import ``session`` and what is below it.
"""
