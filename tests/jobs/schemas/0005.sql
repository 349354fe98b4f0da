BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE jobs (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR(20) NOT NULL, 
	"key" TEXT NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	phase VARCHAR(12) NOT NULL, 
	manifest TEXT NOT NULL, 
	downloaded BIGINT NOT NULL, 
	priority INTEGER NOT NULL, 
	limit_rate BIGINT, 
	owner VARCHAR(40), 
	error_code VARCHAR(40), 
	error_message TEXT, 
	created_at FLOAT NOT NULL, 
	started_at FLOAT, 
	completed_at FLOAT, waiting_since FLOAT, folder TEXT, 
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'job_0000000001','owner/model-1|gguf|q4_k_m|','completed','done','{"id":"owner/model-1","publisher":"unsloth","display_name":"Qwen3 8B","url":"https://huggingface.co/unsloth/Qwen3-8B-GGUF","format":"gguf","quantization":"Q4_K_M","files":[{"repo":"unsloth/Qwen3-8B-GGUF","commit":"cccccccccccccccccccccccccccccccccccccccc","path":"Qwen3-8B-Q4_K_M.gguf","size":7,"digest":{"algorithm":"sha256","hex":"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"},"role":"weights"}],"catalog":null,"subset":null,"why":""}',7,0,NULL,NULL,NULL,NULL,1.5,2.5,3.5,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'job_0000000002','owner/model-2|gguf|q4_k_m|','queued','queued','{"id":"owner/model-2","publisher":"unsloth","display_name":"Qwen3 8B","url":"https://huggingface.co/unsloth/Qwen3-8B-GGUF","format":"gguf","quantization":"Q4_K_M","files":[{"repo":"unsloth/Qwen3-8B-GGUF","commit":"cccccccccccccccccccccccccccccccccccccccc","path":"Qwen3-8B-Q4_K_M.gguf","size":7,"digest":{"algorithm":"sha256","hex":"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"},"role":"weights"}],"catalog":null,"subset":null,"why":""}',5,7,1000,NULL,NULL,NULL,1.5,2.5,NULL,NULL,NULL);
CREATE TABLE "transitions" (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	job VARCHAR(20) NOT NULL, 
	edge VARCHAR(12) NOT NULL, 
	at FLOAT NOT NULL, 
	note TEXT
);
INSERT INTO "transitions" VALUES(1,'job_0000000001','add',2.5,NULL);
INSERT INTO "transitions" VALUES(2,'job_0000000001','start',2.5,NULL);
INSERT INTO "transitions" VALUES(3,'job_0000000001','finish',2.5,NULL);
INSERT INTO "transitions" VALUES(4,'job_0000000002','add',2.5,NULL);
INSERT INTO "transitions" VALUES(5,'job_0000000002','start',2.5,NULL);
INSERT INTO "transitions" VALUES(6,'job_0000000002','yield',2.5,'its process has ended');
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE UNIQUE INDEX one_open_job_a_key ON jobs ("key") WHERE state IN ('queued', 'running', 'paused', 'waiting', 'failed');
CREATE INDEX ix_transitions_job ON transitions (job);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',2);
INSERT INTO "sqlite_sequence" VALUES('transitions',6);
COMMIT;
