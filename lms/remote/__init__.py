"""Models behind HTTP: transport, load balancing, hosts, audit."""
