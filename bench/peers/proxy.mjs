/**
 * The least a proxy in Node can do: it passes on what comes, with undici, and knows nothing of it.
 *
 * `node proxy.mjs PORT UPSTREAM`
 */
import { createServer } from "node:http"
import { Agent, request } from "undici"

const [port, upstream] = process.argv.slice(2)
const dispatcher = new Agent()

createServer(async (asked, response) => {
  try {
    const answer = await request(`${upstream}${asked.url}`, {
      method: asked.method,
      headers: {
        "authorization": asked.headers.authorization,
        "content-type": asked.headers["content-type"],
        "content-length": asked.headers["content-length"]
      },
      body: asked,
      dispatcher
    })
    response.writeHead(answer.statusCode, { "content-type": answer.headers["content-type"] })
    answer.body.on("error", () => response.destroy()).pipe(response)
  } catch {
    response.writeHead(502).end()
  }
}).listen(Number(port), "127.0.0.1")
