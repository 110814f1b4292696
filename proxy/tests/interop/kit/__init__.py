"""What the suite is built from: servers, clients, signatures and the backend's directory."""
