// HttpClient and data contracts: a member that is required and missing, or of another type, is an error.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading.Tasks;

[DataContract]
class Job {
    [DataMember(Name = "job_id", IsRequired = true)] public string Id;
    [DataMember(Name = "status", IsRequired = true)] public string Status;
    [DataMember(Name = "total_size_bytes", IsRequired = true)] public long Total;
    [DataMember(Name = "downloaded_bytes", IsRequired = true)] public long Done;
    [DataMember(Name = "bytes_per_second")] public double? Speed;
    [DataMember(Name = "completed_at")] public string Completed;
}

[DataContract]
class Model {
    [DataMember(Name = "key", IsRequired = true)] public string Key;
    [DataMember(Name = "size_bytes", IsRequired = true)] public long Size;
    [DataMember(Name = "max_context_length", IsRequired = true)] public int Context;
    [DataMember(Name = "format", IsRequired = true)] public string Format;
}

[DataContract] class Models { [DataMember(Name = "models", IsRequired = true)] public List<Model> Rows; }
[DataContract] class Detail { [DataMember(Name = "message", IsRequired = true)] public string Message; }
[DataContract] class Failure { [DataMember(Name = "error", IsRequired = true)] public Detail Error; }

[DataContract]
class Told {
    [DataMember(Name = "first")] public string First;
    [DataMember(Name = "last")] public string Last;
    [DataMember(Name = "whole")] public bool Whole;
    [DataMember(Name = "keys")] public string[] Keys;
    [DataMember(Name = "error")] public string Error;
}

static class Flow {
    static readonly HttpClient Client = new HttpClient();

    static async Task<T> Read<T>(Task<HttpResponseMessage> asked, HttpStatusCode status = HttpStatusCode.OK) {
        var answer = await asked;
        if (answer.StatusCode != status) throw new Exception(await answer.Content.ReadAsStringAsync());
        return (T)new DataContractJsonSerializer(typeof(T)).ReadObject(await answer.Content.ReadAsStreamAsync());
    }

    static async Task<Told> Run(string api, string model) {
        var body = new StringContent("{\"model\": \"" + model + "\"}", Encoding.UTF8, "application/json");
        var job = await Read<Job>(Client.PostAsync(api + "/download", body));
        var first = job.Status;
        while (job.Status == "downloading") {
            await Task.Delay(100);
            job = await Read<Job>(Client.GetAsync(api + "/download/status/" + job.Id));
        }
        DateTime.Parse(job.Completed);
        var models = await Read<Models>(Client.GetAsync(api));
        var unknown = await Read<Failure>(Client.GetAsync(api + "/download/status/job_%C3%A9"), HttpStatusCode.NotFound);
        return new Told {
            First = first, Last = job.Status, Whole = job.Done == job.Total,
            Keys = models.Rows.Select(row => row.Key).ToArray(), Error = unknown.Error.Message,
        };
    }

    static void Main(string[] args) {
        var told = Run(args[0] + "/api/v1/models", args[1]).Result;
        new DataContractJsonSerializer(typeof(Told)).WriteObject(Console.OpenStandardOutput(), told);
    }
}
