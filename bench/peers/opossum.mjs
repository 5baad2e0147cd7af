import CircuitBreaker from "opossum"

/** A circuit breaker with a timeout of a minute around a call; opossum has no retry. */
export const breaker = (call) => {
  const circuit = new CircuitBreaker(call, { timeout: 60_000, errorThresholdPercentage: 80, resetTimeout: 3_600_000 })
  return { fire: () => circuit.fire(), open: () => circuit.open(), shutdown: () => circuit.shutdown() }
}
