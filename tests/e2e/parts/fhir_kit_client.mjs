// What fhir-kit-client does with a FHIR server, as JSON: reads all patients, changes one, refers to it.
// Usage: node fhir_kit_client.mjs NODE_DIRECTORY BASE PATIENT_ID PAGE
import { pathToFileURL } from 'node:url';

const [directory, baseUrl, id, page] = process.argv.slice(2);
// The package lives outside the source tree, where an import would look for it.
const { Client } = await import(pathToFileURL(`${directory}/node_modules/fhir-kit-client/dist/index.js`));
const client = new Client({ baseUrl });
const report = { requested: [], links: [], ids: [], observations: [] };

async function noted(answer) {
  const content = await answer;
  report.requested.push(Client.httpFor(content).response.url);
  if (content.type === 'searchset') {
    report.links.push(...content.link.map((link) => link.url), ...(content.entry ?? []).map((entry) => entry.fullUrl));
  }
  return content;
}

let bundle = await noted(client.search({ resourceType: 'Patient', searchParams: { _count: page } }));
while (bundle) {
  report.ids.push(...bundle.entry.map((entry) => entry.resource.id));
  const next = client.nextPage({ bundle });
  bundle = next && (await noted(next));
}

const patient = await noted(client.read({ resourceType: 'Patient', id }));
patient.active = false;
await noted(client.update({ resourceType: 'Patient', id, body: patient }));

const found = await noted(client.search({ resourceType: 'Patient', searchParams: { _id: id } }));
const body = {
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'Heart rate' },
  subject: { reference: found.entry[0].fullUrl },
};
const first = await noted(client.create({ resourceType: 'Observation', body }));
const [reference] = Client.httpFor(first).response.headers.get('location').split('/_history/');
// Resolved as the client does it: at its own base if the reference begins with that.
await noted(client.resolve({ reference }));
const derived = { ...body, derivedFrom: [{ reference }] };
const second = await noted(client.create({ resourceType: 'Observation', body: derived }));
report.observations.push(first.id, second.id);
console.log(JSON.stringify(report));
