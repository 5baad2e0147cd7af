/** A circuit breaker with a timeout of a minute around a call; opossum has no retry. */
export declare const breaker: <A>(call: () => Promise<A>) => {
  readonly fire: () => Promise<A>
  readonly open: () => void
  readonly shutdown: () => void
}
