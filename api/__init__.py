"""Transport only: REST, live and command line. Every rule of the business is in `orchestrator`."""
