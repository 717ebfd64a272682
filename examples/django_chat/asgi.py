"""Django keeps its sessions, its middleware and its routing, and its view decides who may connect.

Run it from the repository root, then open http://127.0.0.1:8000/ in two browsers::

    asocketio examples.django_chat.asgi:application
"""

import os

from django.core.asgi import get_asgi_application

from asocketio import SocketIOApp
from examples.django_chat.views import Chat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_chat.settings")

application = SocketIOApp(get_asgi_application(), namespaces={"/chat": Chat}, guard=True)
