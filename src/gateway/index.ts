/**
 * The gateway: the same resilience for programs in any language.
 *
 * @since 0.1.0
 */

/**
 * The server, as an HTTP app.
 *
 * @since 0.1.0
 */
export * as Gateway from "./Gateway.js"

/**
 * Its configuration, from a file.
 *
 * @since 0.1.0
 */
export * as GatewayConfig from "./GatewayConfig.js"
