"""The fast lane: websocket frames straight from the server's transport to the socket, and back."""
