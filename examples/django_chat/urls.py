"""A page, and the door to the sockets."""

from django.urls import path, re_path

from examples.django_chat import views

urlpatterns = [
    path("", views.page),
    re_path(r"^socket\.io/", views.socketio),  # not <path:_>: that wants a character after the slash
]
