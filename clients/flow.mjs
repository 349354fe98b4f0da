// fetch, as it comes with Node.js.
const [address, model] = process.argv.slice(2);
const api = `${address}/api/v1/models`;
const told = async (answer, status = 200) => {
  if (answer.status !== status) throw new Error(await answer.text());
  return answer.json();
};
const headers = { "Content-Type": "application/json" };
let job = await told(await fetch(`${api}/download`, { method: "POST", headers, body: JSON.stringify({ model }) }));
const first = job.status;
while (job.status === "downloading") {
  await new Promise((done) => setTimeout(done, 100));
  job = await told(await fetch(`${api}/download/status/${job.job_id}`));
}
const { models } = await told(await fetch(api));
const { error } = await told(await fetch(`${api}/download/status/job_é`), 404);
const whole = job.downloaded_bytes === job.total_size_bytes;
console.log(JSON.stringify({ first, last: job.status, whole, keys: models.map(({ key }) => key), error: error.message }));
