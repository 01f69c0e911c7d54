/*
 * The benchmark's work done by Apache's Java client (../../job.ts is the contract). Bodies stay uncompressed, and nothing is
 * sent twice. Many messages in flight are sent asynchronously, one at a time synchronously; each queue has a thread that
 * pulls. JVM flags: -Drmq.logback.configurationFile=<path of rmq.logback.xml> (no logging) and -Duser.home=<a temporary
 * folder> (where the client would keep files); nothing else, as heap and collector are the JVM's own choice.
 */
import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONObject;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** {@link DefaultMQPullConsumer} is deprecated, but its pull of one queue is no slower than what replaces it. */
@SuppressWarnings("deprecation")
public class Bench {
  public static class Job {
    public String work, nameServers, broker, brokerName, topic, group;
    public int queues, bodyBytes, inFlight, batchSize, warmup, messages;
  }

  interface Work {
    void run() throws Exception;
  }

  static Job job;

  public static void main(String[] args) {
    try {
      job = JSON.parseObject(args[args.length - 1], Job.class);
      JSONObject outcome;
      switch (job.work) {
        case "send": outcome = send(1); break;
        case "batch": outcome = send(job.batchSize); break;
        case "pull": outcome = pull(); break;
        default: throw new IllegalArgumentException("unknown work " + job.work);
      }
      System.out.println(outcome);
      System.out.flush();
      Runtime.getRuntime().halt(0);
    } catch (Throwable error) {
      fail(error);
    }
  }

  static JSONObject send(int batchSize) throws Exception {
    DefaultMQProducer producer = new DefaultMQProducer(job.group);
    producer.setNamesrvAddr(job.nameServers);
    producer.setVipChannelEnabled(false);
    producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
    producer.setMqClientApiTimeout(30_000);
    producer.setSendMsgTimeout(30_000);
    producer.setRetryTimesWhenSendFailed(0);
    producer.setRetryTimesWhenSendAsyncFailed(0);
    producer.start();
    // Of threads that ask for the route at once all but one give up after 3 s, which a busy machine takes.
    long limit = System.nanoTime() + 30_000_000_000L;
    while (!producer.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer(job.topic)
        && System.nanoTime() < limit) Thread.sleep(100);
    String body = "0123456789abcdef".repeat(job.bodyBytes / 16 + 1).substring(0, job.bodyBytes);
    byte[] bytes = body.getBytes(StandardCharsets.US_ASCII);
    sendAll(producer, bytes, job.warmup, batchSize);
    return measure(() -> sendAll(producer, bytes, job.messages, batchSize));
  }

  static void sendAll(DefaultMQProducer producer, byte[] body, int count, int batchSize) throws Exception {
    Semaphore free = new Semaphore(job.inFlight);
    SendCallback callback = new SendCallback() {
      @Override
      public void onSuccess(SendResult result) {
        check(result);
        free.release();
      }

      @Override
      public void onException(Throwable error) {
        fail(error);
      }
    };
    for (int start = 0; start < count; start += batchSize) {
      List<Message> messages = new ArrayList<>(batchSize);
      for (int i = start; i < Math.min(start + batchSize, count); i++) {
        Message message = new Message(job.topic, "bench", "k-" + i, body);
        message.putUserProperty("origin", "bench");
        messages.add(message);
      }
      if (job.inFlight == 1) {
        check(batchSize == 1 ? producer.send(messages.get(0)) : producer.send(messages));
        continue;
      }
      free.acquire();
      if (batchSize == 1) producer.send(messages.get(0), callback);
      else producer.send(messages, callback);
    }
    free.acquire(job.inFlight);
  }

  static void check(SendResult result) {
    if (result.getSendStatus() != SendStatus.SEND_OK) fail(new IllegalStateException(result.toString()));
  }

  static JSONObject pull() throws Exception {
    if (job.messages % job.queues != 0)
      throw new IllegalArgumentException("queues must have the same number of messages");
    DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(job.group);
    consumer.setNamesrvAddr(job.nameServers);
    consumer.setVipChannelEnabled(false);
    consumer.setMqClientApiTimeout(30_000);
    consumer.start();
    // Of threads that ask for the route at once all but one give up after 3 s, which a busy machine takes.
    consumer.pull(new MessageQueue(job.topic, job.brokerName, 0), "*", 0, 1, 30_000);
    pullAll(consumer, job.warmup);
    AtomicLong sum = new AtomicLong();
    JSONObject outcome = measure(() -> sum.set(pullAll(consumer, job.messages)));
    return outcome.fluentPut("checksum", sum.get());
  }

  static long pullAll(DefaultMQPullConsumer consumer, int count) throws Exception {
    AtomicLong sum = new AtomicLong();
    List<Thread> threads = new ArrayList<>();
    for (int queueId = 0; queueId < job.queues; queueId++) {
      MessageQueue queue = new MessageQueue(job.topic, job.brokerName, queueId);
      Thread thread = new Thread(() -> {
        try {
          sum.addAndGet(pullQueue(consumer, queue, count / job.queues));
        } catch (Throwable error) {
          fail(error);
        }
      });
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) thread.join();
    return sum.get() & 0xffffffffL;
  }

  static long pullQueue(DefaultMQPullConsumer consumer, MessageQueue queue, int count) throws Exception {
    long sum = 0;
    for (int offset = 0; offset < count; ) {
      PullResult result = consumer.pull(queue, "*", offset, 32);
      if (result.getPullStatus() != PullStatus.FOUND)
        throw new IllegalStateException(queue + " ends at " + offset + " of " + count);
      List<MessageExt> messages = result.getMsgFoundList();
      for (MessageExt message : messages.subList(0, Math.min(messages.size(), count - offset))) {
        sum += checksum(message);
      }
      offset += messages.size();
    }
    return sum;
  }

  static long checksum(MessageExt message) {
    CRC32 crc = new CRC32();
    crc.update(message.getBody());
    String keys = message.getKeys();
    long sum = 0;
    if (keys != null) for (String key : keys.split(MessageConst.KEY_SEPARATOR)) sum += key.length();
    return sum
        + crc.getValue()
        + message.getBody().length
        + message.getQueueOffset()
        + message.getCommitLogOffset()
        + length(message.getProperty(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX))
        + length(message.getTags())
        + length(message.getProperty("origin"))
        + message.getReconsumeTimes()
        + message.getBornTimestamp()
        + message.getStoreTimestamp()
        + port(message.getBornHost())
        + port(message.getStoreHost())
        + message.getQueueId();
  }

  static int length(String text) {
    return text == null ? 0 : text.length();
  }

  static int port(SocketAddress host) {
    return ((InetSocketAddress) host).getPort();
  }

  static JSONObject measure(Work work) throws Exception {
    OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long start = System.nanoTime();
    work.run();
    double seconds = (System.nanoTime() - start) / 1e9;
    double cpuSeconds = (system.getProcessCpuTime() - cpu) / 1e9;
    String status = Files.readString(Path.of("/proc/self/status"));
    String peak = status.replaceFirst("(?s).*VmHWM:\\s+(\\d+) kB.*", "$1");
    String version = MQVersion.getVersionDesc(MQVersion.CURRENT_VERSION).substring(1).replace('_', '.');
    return new JSONObject()
        .fluentPut("seconds", seconds)
        .fluentPut("cpuSeconds", cpuSeconds)
        .fluentPut("peakRssBytes", Long.parseLong(peak) * 1024)
        .fluentPut("messages", job.messages)
        .fluentPut("program", "Java client " + version + ", Java " + System.getProperty("java.version"));
  }

  /** The first failure is printed and ends the program; others wait for that. */
  static synchronized void fail(Throwable error) {
    error.printStackTrace();
    Runtime.getRuntime().halt(1);
  }
}
