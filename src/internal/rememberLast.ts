/**
 * A function that remembers what it gave last, and gives it again while it is asked for the same: for what is worked out
 * again and again, from what hardly ever differs from one time to the next.
 */
export const rememberLast = <Args extends ReadonlyArray<unknown>, A>(f: (...args: Args) => A): (...args: Args) => A => {
  let last: { readonly args: Args; readonly given: A } | undefined
  return (...args) => {
    if (last === undefined || args.some((arg, index) => arg !== last?.args[index])) {
      last = { args, given: f(...args) }
    }
    return last.given
  }
}
