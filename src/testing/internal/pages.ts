/** Pages of HTML that come where an answer was expected, whatever the format. */

/** From the proxy before a provider. */
export const badGateway = `<!DOCTYPE html>
<html lang="en-US">
<head><title>api.example.com | 502: Bad gateway</title></head>
<body><h1>Bad gateway <span>Error code 502</span></h1><p>cloudflare</p></body>
</html>
`

/** From a network that wants to be signed in to. */
export const signIn = `<!DOCTYPE html>
<html><head><title>Sign in to this network</title></head><body><h1>Welcome</h1></body></html>
`
