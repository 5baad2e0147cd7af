/**
 * For tests of programs that use this library: providers and servers that fail on purpose.
 *
 * @since 0.1.0
 */

/**
 * What a `FaultServer` can do to a request.
 *
 * @since 0.1.0
 */
export * as Fault from "./Fault.js"

/**
 * A real HTTP server that fails on purpose.
 *
 * @since 0.1.0
 */
export * as FaultServer from "./FaultServer.js"

/**
 * A provider that answers from a script and remembers what it was asked.
 *
 * @since 0.1.0
 */
export * as ScriptedProvider from "./ScriptedProvider.js"
