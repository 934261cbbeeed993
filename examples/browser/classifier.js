// A bundle of Parsimony in the browser: verified, opened, one text at a time. docs/reference/bundle.md is the contract.

import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web/wasm";

const MOST_CHARS = 20_000; // a longer text is cut before it reaches the tokenizer
const decode = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** Load the bundle below an address: { label(text), labels, manifest, bytes, digest }. */
export async function load(address) {
  const manifest = await fetched(new URL("manifest.json", address));
  const facts = decode(manifest);
  if (facts.input !== "tokens") throw new Error(`the bundle takes ${facts.input}; this page gives tokens`);
  const files = new Map(
    await Promise.all(facts.files.map(async (entry) => [entry.path, await verified(entry, address)])),
  );
  const session = await ort.InferenceSession.create(files.get("model.onnx"), { executionProviders: ["wasm"] });
  const document = decode(files.get("tokenizer.json"));
  const model = {
    session,
    labels: decode(files.get("labels.json")),
    encode: encoder(document),
    averaged: facts.windows === "mean",
  };
  await label(model, "a first text, so that the next one is as fast as all others");
  return {
    label: (text) => label(model, text),
    labels: model.labels,
    manifest: facts,
    bytes: manifest.byteLength + facts.files.reduce((sum, entry) => sum + entry.bytes, 0),
    digest: await sha256(manifest),
  };
}

/** Label one text: { label, shares, ms }; shares in the order of the labels. */
async function label(model, text) {
  const start = performance.now();
  const windows = model.encode(Array.from(text).slice(0, MOST_CHARS).join(""));
  const kept = model.averaged ? windows : windows.slice(0, 1);
  const total = new Float64Array(model.labels.length);
  let tokens = 0;
  for (const ids of kept) {
    const { logits } = await model.session.run(feeds(model.session, ids));
    logits.data.forEach((logit, i) => (total[i] += logit * ids.length));
    tokens += ids.length;
    logits.dispose();
  }
  const shares = softmax(total.map((sum) => sum / tokens));
  const best = shares.indexOf(Math.max(...shares));
  if (best < 0) throw new Error("the graph gives logits that are not finite");
  return { label: model.labels[best], shares, ms: performance.now() - start };
}

function feeds(session, ids) {
  const values = { input_ids: ids, attention_mask: ids.map(() => 1) };
  const tensor = (numbers) => new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), [1, numbers.length]);
  return Object.fromEntries(session.inputNames.map((name) => [name, tensor(values[name])]));
}

/** Return a function from a text to the numbers of its tokens, cut into windows as tokenizer.json says. */
function encoder(document) {
  const tokenizer = new Tokenizer(document, {});
  const ends = tokenizer.encode("").ids; // what is put around every text: [CLS] and [SEP], say
  const before = ends.slice(0, Math.ceil(ends.length / 2));
  const after = ends.slice(before.length);
  const room = (document.truncation?.max_length ?? Infinity) - ends.length;
  const step = room - (document.truncation?.stride ?? 0);
  return (text) => {
    const ids = tokenizer.encode(text, { add_special_tokens: false }).ids;
    const windows = [[...before, ...ids.slice(0, room), ...after]];
    for (let end = room, start = step; end < ids.length; start += step) {
      end = start + room;
      windows.push([...before, ...ids.slice(start, end), ...after]);
    }
    return windows;
  };
}

function softmax(logits) {
  const most = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

async function verified(entry, address) {
  const place = new URL(entry.path, address);
  if (!place.href.startsWith(address.href)) throw new Error(`manifest.json names ${entry.path}, which is outside the bundle`);
  const content = await fetched(place);
  if (content.byteLength !== entry.bytes || (await sha256(content)) !== entry.sha256) {
    throw new Error(`${entry.path} is not the file that manifest.json lists; download the bundle again`);
  }
  return content;
}

async function fetched(address) {
  const response = await fetch(address, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${address.pathname} is not there (${response.status}); README.md says how to get a bundle`);
  return new Uint8Array(await response.arrayBuffer());
}

async function sha256(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
