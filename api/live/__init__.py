"""Live API v1 over Socket.IO."""
