"""What Heapwarden asks of the Kubernetes API, and knows of its own pod. Only here is the API's client library imported.

It belongs to the extra ``kubernetes``, and is imported when the API is first asked: most agents never do. Nothing here
decides about restarts.
"""
