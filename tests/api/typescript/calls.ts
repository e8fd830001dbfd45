// Preview, execute, replay and a typed refusal; prints what each answered.
import createClient from "openapi-fetch";
import type { paths } from "./openapi";

declare const process: { argv: string[] };

const [gateway = "", target = ""] = process.argv.slice(2);
const relay = createClient<paths>({ baseUrl: gateway });

const preview = await relay.POST("/actions/preview", {
  body: { action: "webhook.save", params: { url: target, body: { n: 1 } } },
});
if (preview.error) throw new Error(preview.error.detail);

const asked = {
  body: { preview_id: preview.data.preview_id },
  params: { header: { "Idempotency-Key": "order-1" } },
};
const first = await relay.POST("/actions/execute", asked);
const again = await relay.POST("/actions/execute", asked);
if (first.error || again.error) throw new Error("It was refused.");

const gone = await relay.POST("/actions/execute", { body: { preview_id: "gone" } });
if (gone.error?.code !== "preview_not_found") throw new Error("It was found.");

console.log(
  JSON.stringify({
    runs: [first.data.run_id, again.data.run_id],
    status: first.data.status,
    replayed: [first, again].map((it) => it.response.headers.get("Idempotent-Replayed")),
    refusal: [gone.error.status, gone.error.detail],
  }),
);
