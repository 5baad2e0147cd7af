/**
 * The gateway: the same resilience for programs in any language.
 *
 * @since 0.1.0
 */

/**
 * Its configuration, from a file.
 *
 * @since 0.1.0
 */
export * as GatewayConfig from "./GatewayConfig.js"
