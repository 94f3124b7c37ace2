"""The run engine: one pure decision a step, one atomic write a decision, effects carried out from an outbox."""
