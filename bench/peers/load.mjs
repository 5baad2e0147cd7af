export { default as autocannon } from "autocannon"
export { Agent, request } from "undici"
