// The official TypeScript client: list, preview, execute, replay, look; one line of JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, target] = process.env.ASKED.split(" ");
const client = new Client({ name: "tests", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const call = (name, args) => client.callTool({ name, arguments: args });
const { tools } = await client.listTools();
const preview = (await call("preview_webhook_save", { url: target, body: 1 })).structuredContent;
const args = { preview_id: preview.preview_id, summary: preview.summary };
const first = await call("execute", args);
const again = await call("execute", args);
const found = await call("get_run", { run_id: first.structuredContent.run_id });
const refused = await call("execute", { ...args, preview_id: "none" });
console.log(
  JSON.stringify({
    tools: tools.map((tool) => tool.name),
    runs: [first, again, found].map((it) => it.structuredContent.run_id),
    status: found.structuredContent.status,
    refused: [refused.isError, JSON.parse(refused.content[0].text).code],
  }),
);
await client.close();
